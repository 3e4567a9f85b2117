"""An agent's process: started behind walls, asked over sockets, and ended when it is over its budget.

Import from its modules: an agent's process imports this package too, and shall load no more than it needs.
"""
