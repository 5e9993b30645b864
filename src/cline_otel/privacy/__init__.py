"""Who may see what: privacy classes, the user's choices, pseudonyms, shapes of secrets, classes of free text. Pure."""
