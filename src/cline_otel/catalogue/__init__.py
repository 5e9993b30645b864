"""What Cline's events are and what becomes of them: TOML files, their model, and the tables compiled from them."""
