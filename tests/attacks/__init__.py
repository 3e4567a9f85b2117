"""What a hostile or broken agent may try: each attack for real, in a game of five, under each tier that holds here."""
