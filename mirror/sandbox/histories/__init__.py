"""What runs log: rows, merged and sampled, their keys, and the Parquet parts that an exporter writes of them."""
