"""Every GraphQL text that is asked, written for a current server."""
