"""What the lake holds: each table and each column once. DDL, migrations, Arrow schemas, rows and views follow."""
