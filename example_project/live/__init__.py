"""The back end of a live-streaming site: what a media server (SRS) reports."""
