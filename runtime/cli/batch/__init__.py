"""``upscale`` with any number of inputs.

* ``upscale_jobs``  inputs, results and the workflow for each
* ``job_file``      settings of single files, from a TOML or CSV file
* ``job_records``   what each result was made of, so that a stopped run continues and names are reserved
* ``announce``      what will be done, and how long it will take, in one line
* ``run_jobs``      one job after the other, with a count, a time for all and a summary
* ``shared_jobs``   jobs and options as JSON, for workers that make a file each
"""
