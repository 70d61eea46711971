"""The vocabulary of trading: frozen values, Decimal money, aware UTC times. Imports no other part of the runtime."""
