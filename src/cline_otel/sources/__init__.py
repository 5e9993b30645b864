"""Where payloads come from: bytes in, whole lines or whole requests out; what they mean is decided elsewhere."""
