"""What the bot is measured against: simpler programs that do part of its work, written as one would who means it."""
