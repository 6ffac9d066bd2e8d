"""From the log to the published folder: public.db, static log, open data, portal; and serving it."""
