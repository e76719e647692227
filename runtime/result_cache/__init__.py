"""Results of nodes on disk, for ``run --cache``: a second run of a workflow calls only what has changed.

Promises: a result that comes back is bit for bit the one that was kept, and a run goes on with the very same bits when it
keeps one; nothing is ever unpickled (JSON and safetensors); what is damaged, cut short or not ours is not used; a name
stands for a whole file, so that runs may share a folder; the folder stays below its limit, least recently used first.

* ``codec``    values to JSON and tensors, and back; what has no safe form (models, films) is not kept.
* ``blobs``    one tensor, one file, named by its content.
* ``disk``     the cache that the executor asks: entries, files of outputs, the limit.
* ``versions`` what decides a result besides its inputs: source code, libraries, the content of files.

torch and safetensors are imported only when a tensor is kept
or loaded.
"""
