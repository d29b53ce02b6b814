"""How the SDK's surface behaves: paths, pages of lists, attributes, errors, and what only a server can do."""
