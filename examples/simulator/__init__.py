"""The vendor simulator: five vendors of different trades that post their service events over HTTP, in compressed time."""
