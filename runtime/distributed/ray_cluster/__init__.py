"""Workers on the nodes of a Ray cluster, which places and ends them. We write no scheduler: workers take items as everywhere.

A node that sees the folder of the order, at the same path or where ``share`` says, works in it. A node that does not gets what
it lacks of source and weights through Ray's object store, piece by piece, and hands its segments back as bytes. Frames never
travel, and no process holds more than some pieces in memory.

* ``cluster``       how a cluster is joined, and what its nodes are
* ``ray_pool``      the driver's side: a thread for each worker
* ``ray_node``      the side of the node, which starts the process that works
* ``needed_files``  the files that an order needs
"""
