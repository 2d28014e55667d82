"""The wire format, and the executors that carry calls to where they run.

Threads, queues and sockets are allowed here.
"""
