"""What a buyer means to buy: a list that prefills checkout. Nothing is reserved by it."""
