"""What turns sound into inputs: audio files, log-mels, mel files, folders of clips, linear prediction."""
