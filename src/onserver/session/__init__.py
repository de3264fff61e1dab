"""Who is working, and the storage that they share."""
