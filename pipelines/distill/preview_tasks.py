"""The names of a preview's tasks."""

COLLECT, CHOOSE, CURATE, SYNTHESIZE, SELECT = "collect", "curate-rows", "curate", "synthesize", "select"
"""`curate-rows` applies the rules and chooses the rows; `curate` labels them."""
