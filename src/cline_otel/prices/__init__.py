"""What model calls cost by price lists: the lists, and the arithmetic."""
