"""What a person sees in a terminal. Views draw what they are given, and open no file; commands do that."""
