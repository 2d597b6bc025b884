"""Cascade + architecture + mapping + sizes -> a bound mapping: every geometric rule of the loop nest is stated here."""
