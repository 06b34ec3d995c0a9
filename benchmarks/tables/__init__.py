"""Tables as they are: against known densities, against peers, and column by column."""
