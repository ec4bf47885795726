"""What respin is given that it cannot take: tables that tests/adversary/test_inputs.py plays."""
