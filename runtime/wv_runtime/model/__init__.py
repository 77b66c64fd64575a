"""What a voice is: its configuration, its matrices and the .bin that holds them. Imports errors only."""
