"""The static civic portal: reads public.db alone, writes Markdown, and lets MkDocs make the pages."""
