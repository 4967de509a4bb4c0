"""Makes the leaderboard of committed rows."""
