"""Detect this machine and its free resources, and recommend settings for it.

Guarantees: detection needs no torch and well under two seconds, without a GPU, with several or with a broken driver, and in a
container. An unknown fact is None or a sentence in the notes, never an error. Every recommended setting has its reason.

* ``detect``        everything below in one ``Machine``
* ``nvidia``        NVIDIA GPUs by NVML; ``torch_devices`` GPUs that only torch can see (ROCm, MPS, XPU), on request;
  ``gpu`` the value that both return
* ``cpu``, ``capacity`` (memory and disks), ``software``   the rest of the machine; ``cgroup`` the limits of a container
* ``tile_memory``   memory per tile by architecture, backend and precision, and the largest tile that fits
* ``calibration``   measured memory and time of models, and the file that stores them
* ``settings``      the recommended settings with their reasons
* ``report``        machine and settings as text
* ``installation``  problems of the installed libraries; ``import_check`` imports them in a process of its own
"""
