"""Source archives: what a forge sends, taken apart and put together as what Quay's builder can build.

Pure: bytes go in, bytes come out. Who fetches them and who serves them is elsewhere.
"""
