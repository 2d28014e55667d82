"""Records in, documents and charts out. Pure: returns text and bytes, writes no file, reads no clock."""
