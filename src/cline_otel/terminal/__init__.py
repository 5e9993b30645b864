"""What a person sees in a terminal. Views draw what they are given: they read no file, no clock and no setting."""
