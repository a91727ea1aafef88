"""The connection to the API server, shared by the operator and the measurers: session, client, informer."""
