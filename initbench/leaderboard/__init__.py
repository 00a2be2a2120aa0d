"""The leaderboard: one self-contained page, made from the results of suites."""
