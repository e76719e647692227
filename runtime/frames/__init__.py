"""The values all rooms share. Promises: integers are pixels, axes are named, and axes and bit depths change only here.

May enter: ``errors``. numpy and torch stay out of ``geometry``, so planning needs neither.
"""
