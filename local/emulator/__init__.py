"""The embedded AWS: ministack in this process, with the gaps that matter to us closed.

Nothing here imports ministack before `settings.export` has prepared the environment it reads.
"""
