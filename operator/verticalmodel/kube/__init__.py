"""What every process that talks to the API server shares: connection, client, informer, election, logs and health."""
