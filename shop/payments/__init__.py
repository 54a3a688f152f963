"""Money for orders: starting a payment, hearing what became of it, and what that means for order and stock."""
