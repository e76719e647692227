"""Which model does best on this picture: the same crops through each of them, measured, shown side by side and put into words.

Promises: every model sees the same pixels and is measured by the same formulas as the base lines, bicubic and Lanczos; a model
that cannot run is a row that says what to do; every sentence follows from a number that stands beside it; text from outside is
escaped; the page is one file that asks the network for nothing.

* ``wishes``      what may be asked for as a crop.                        light
* ``crops``       which parts of a picture: by place, by size, by what they show.
* ``comparison``  the values: contenders, what each made of each crop, what it cost.
* ``compare``     running and measuring them; the upscaler is a function that is given.
* ``baselines``   bicubic and Lanczos.
* ``summary``     one row of numbers for each contender, over all crops; ``columns`` how each number is called and printed.
* ``findings``    the numbers in words, and which model for which use.
* ``drawing``     text, frames and scale bars; ``sheet`` the picture that shows all of them, ``maps`` where they differ.
* ``markdown``, ``page``, ``record``   the report to read, to look at, and for a program; ``page.css`` and ``page.js`` belong to
  the page.
* ``files``       all of them into one folder.
* ``before_after``  small pictures of a source and its result, for the slider on a node.

It runs no model itself.
"""
