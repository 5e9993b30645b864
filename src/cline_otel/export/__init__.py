"""Delivery: takes encoded OTLP requests out of the journal and gets them to where they are wanted.

One ladder of names, from the settings down to the request:

=================================  ==================================================================  =================
name                               what it is                                                          module
=================================  ==================================================================  =================
``Destination``                    where one signal goes, as the settings say it: plain data           ``destinations``
``Exporter``                       sends one batch of one signal to one destination, once              ``interface``
``Exporters``                      the exporters of every signal's destinations                        ``exporters``
``DeliveryLoop``                   empties the outbox of one signal, traces or logs, into an exporter  ``delivery_loop``
``Suspects``                       rows that were refused by themselves, and when each is given up     ``suspects``
``PeriodicMetricReader``           sends one destination the newest metric totals at every interval    ``metric_reader``
``DeltaMetricReader``              queues and sends what they have grown by at every interval          ``delta_reader``
``Delivery``                       all loops and readers: started, paused, replaced, ended as one      ``delivery``
=================================  ==================================================================  =================

``Exporter``, ``batch`` and ``PeriodicMetricReader`` mean what they mean in the OpenTelemetry SDK specification.
There is an exporter for each kind of destination: ``OtlpHttpExporter``, ``OtlpGrpcExporter``, ``OtlpFileExporter``,
``SdkExporter``; and ``FanoutExporter`` for several at once.
"""
