"""A cluster on this machine: Redis, coordinator, workers and Flower as processes that one supervisor looks after.

Starts and ends processes, and keeps files in one folder. Knows nothing of studies; what runs in the processes are the
same commands that a cluster of many machines runs.
"""
