"""Study files written for people: from the studies that are shipped, and from OpenAPI documents.

Pure but for reading the shipped studies: what is to be written is returned as texts. No network.
"""
