"""The protocols that the services are written against; each says its duties. Adapters implement them, `__main__` chooses."""
