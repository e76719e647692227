"""What this machine is, what of it is free, and which settings follow from that. Promises: answers without torch in well under
two seconds, with no GPU, several or a broken driver, inside a container as outside; a fact that cannot be had is None or a
sentence among the notes, never a failure; every suggestion comes with its reason.

* ``machine``    everything below together: ``look()``.
* ``nvidia``     NVIDIA GPUs by NVML; ``torch_devices`` what only torch can see (ROCm, MPS, XPU), and only when asked;
  ``gpu`` the value that both give.
* ``cpu``, ``memory``, ``disk``, ``software``   the rest of the machine; ``cgroup`` what a container leaves of it.
* ``footprint``  how much memory a tile takes, by architecture, backend and precision; ``calibration`` what was measured of
  that here, and where it is kept.
* ``tile``       the tile that fits. ``settings`` the suggestion, each part with its reason.
* ``table``      all of it for a person.
* ``installation``   what is wrong with the libraries here; ``trial`` imports them, as a program of its own.
"""
