"""Who may see what: privacy classes, the user's choices, pseudonyms, secret detectors, classes of free text. Pure."""
