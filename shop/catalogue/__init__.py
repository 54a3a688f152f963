"""What the shop has to sell, and the picture of it that every gateway process keeps."""
