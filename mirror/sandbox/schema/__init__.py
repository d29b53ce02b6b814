"""The GraphQL side: the schema of a server of some age, who asks, and what a request costs; `resolvers` answer it."""
