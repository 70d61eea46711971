"""The Kubernetes side: rows of `trading_bots` become TradingBots and Deployments.

It never trades and never imports the runtime.
"""
