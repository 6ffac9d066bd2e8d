"""The only writer of SQLite: replicas, the centre's log store, capture and the fast fold."""
