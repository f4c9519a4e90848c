-- What changes a price beside tokens, as the upstream told it: its service tier, and the rest as JSON (tools that it
-- ran, sound, fast mode, inference bound to a place); nothing where nothing was told.
ALTER TABLE ai_requests ADD COLUMN service_tier TEXT;
ALTER TABLE ai_requests ADD COLUMN usage_detail TEXT;
