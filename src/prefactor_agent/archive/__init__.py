"""The archive: calls as Parquet objects in a folder or in object storage, of many hosts."""
