"""What this system is measured against: the application's own crons, a Node hybrid as the analysis
proposes it, and a bare uvicorn as the floor."""
